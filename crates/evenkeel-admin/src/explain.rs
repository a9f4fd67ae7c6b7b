//! Who is picked and why: an explanation of a service, and picks without a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use evenkeel_config::PickBody;
use evenkeel_core::{ExplainedInstance, Explanation, Nanos, NoPick, PickContext, Question, Slot, View};
use evenkeel_runtime::Service;
use percent_encoding::percent_decode_str;

use crate::App;
use crate::api;
use crate::chunks::{self, CHUNK_BYTES, ChunkWriter, Gone};
use crate::problem::Problem;
use crate::wire;
use crate::write::OnService;

/// What is told of the request that is asked about.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    key: Option<Vec<u8>>,
    region: Option<String>,
    /// Ids.
    tried: Vec<String>,
}

/// The parameters of a query.
pub(crate) const PARAMETERS: [(&str, &str); 3] = [
    ("key", "What the strategy hashes, as the client sends it"),
    ("region", "Where the client is"),
    (
        "tried",
        "The id of an instance that was tried for the request already; may be repeated",
    ),
];

impl Asked {
    fn in_query(uri: &Uri) -> Result<Self, Problem> {
        let mut asked = Self::default();
        for pair in uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let decoded: Cow<'_, [u8]> = percent_decode_str(&value).into();
            let text = || String::from_utf8_lossy(&decoded).into_owned();
            match name {
                "key" => asked.key = Some(decoded.into_owned()),
                "region" => asked.region = Some(text()),
                "tried" => asked.tried.push(text()),
                other => {
                    let names = PARAMETERS.map(|(name, _)| name);
                    return Err(Problem::field(
                        other,
                        format!(
                            "there is no parameter {other:?} here; there are {}",
                            names.join(", ")
                        ),
                    ));
                }
            }
        }
        asked.checked()
    }

    /// The file has no empty region either: it would be that of the instances which say none.
    fn checked(self) -> Result<Self, Problem> {
        match self.region.as_deref() {
            Some("") => Err(Problem::field(
                "region",
                "region: it is empty; leave it out, or write a name",
            )),
            _ => Ok(self),
        }
    }

    fn tried(&self, service: &Service, view: &View) -> Result<Vec<Slot>, Problem> {
        let slot = |id: &String| {
            let mut members = view.members();
            let found = members.find(|(_, member, _)| member.instance().id.as_str() == id);
            found
                .map(|(slot, ..)| slot)
                .ok_or_else(|| api::unknown_instance(service, id))
        };
        self.tried.iter().map(slot).collect()
    }

    fn question<'a>(&'a self, tried: &'a [Slot]) -> Question<'a> {
        Question {
            key: self.key.as_deref(),
            region: self.region.as_deref(),
            tried,
        }
    }
}

impl From<PickBody> for Asked {
    fn from(body: PickBody) -> Self {
        Self {
            key: body.key.map(String::into_bytes),
            region: body.region,
            tried: body.tried,
        }
    }
}

/// Another one each time. Nothing secret depends on it.
fn seed(now: Nanos) -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Relaxed);
    call.wrapping_mul(0xD1B5_4A32_D192_ED03) ^ now.0
}

pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let Path(name) = path.map_err(api::bad_path)?;
    let asked = Asked::in_query(&uri)?;
    let service = api::find_service(&app, &name)?;
    let view = service.view_full();
    let tried = asked.tried(&service, &view)?;
    let now = app.shared.balancer.clock().now();
    let explanation = Explanation::new(&view, &asked.question(&tried), now, seed(now));
    let body = chunks::body(async move |out: ChunkWriter| write(&explanation, &out).await);
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Writes a [`wire::Explanation`] without holding the text of all instances at once.
async fn write(explanation: &Explanation, out: &ChunkWriter) -> Result<(), Gone> {
    let choice = explanation.choice.as_ref();
    let frame = wire::Explanation {
        service: explanation.service.to_string(),
        strategy: explanation.strategy.to_string(),
        rule: explanation.strategy.summary().to_owned(),
        view_version: explanation.version,
        fallback: explanation.fallback,
        notes: explanation.notes.clone(),
        choice: choice.ok().map(ToString::to_string),
        no_choice: choice.err().map(ToString::to_string),
        draws: explanation.draws,
        instances: Vec::new(),
    };
    let mut text = serde_json::to_string(&frame).map_err(|_| Gone)?;
    // The instances come last, and go between these brackets.
    let end = text.split_off(text.len().saturating_sub("]}".len()));
    let mut separator = "";
    for one in &explanation.instances {
        text.push_str(separator);
        separator = ",";
        text.push_str(&serde_json::to_string(&describe(one)).map_err(|_| Gone)?);
        if text.len() >= CHUNK_BYTES {
            out.send(std::mem::take(&mut text)).await?;
        }
    }
    text.push_str(&end);
    out.send(text).await
}

fn describe(one: &ExplainedInstance) -> wire::ExplainedInstance {
    let instance = &one.instance;
    wire::ExplainedInstance {
        id: instance.id.to_string(),
        address: instance.address.to_string(),
        state: one.state.as_str().to_owned(),
        since_seconds: one.since.as_secs_f64(),
        reason: one.reason.to_string(),
        candidate: one.excluded.is_none(),
        stages: one
            .stages
            .iter()
            .map(|finding| wire::Finding {
                stage: finding.stage.to_owned(),
                effect: effect(finding.left).to_owned(),
                left: finding.left,
                reason: finding.reason.clone(),
            })
            .collect(),
        score: api::told_score(one.score),
        score_parts: api::score_parts(one.parts),
        weight: instance.weight.get(),
        priority: instance.priority,
        region: instance.region.as_deref().map(str::to_owned),
        share: one.share,
        odds: one.odds,
        lost: one.lost.clone(),
        in_flight: one.in_flight,
        response_time_seconds: one.response_time.map(|time| time.as_secs_f64()),
        successes: one.counts.successes,
        failures: one.counts.failures,
        reported: api::reported(one),
    }
}

const fn effect(left: f64) -> &'static str {
    if left <= 0.0 {
        "removed"
    } else if left < 1.0 {
        "reduced"
    } else {
        "overruled"
    }
}

/// Picks for somebody who sends the request himself. No lease is taken, because nobody would end it: what is in flight
/// and how it ends is not seen here, unless the instance or its client reports it.
pub(crate) async fn pick(call: OnService) -> Result<Response, Problem> {
    call.told(async |app, service, body| {
        let asked = Asked::from(body.parse_or_default::<PickBody>()?).checked()?;
        let view = service.view_full();
        let tried = asked.tried(service, &view)?;
        let now = app.shared.balancer.clock().now();
        let mut cx = PickContext::new(seed(now));
        cx.now = now;
        let picked = view.choose(&asked.question(&tried).request(&view), &mut cx);
        let nobody = |why: NoPick| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string());
        let slot = picked.map_err(nobody)?;
        let member = view
            .candidates()
            .member(slot)
            .ok_or(NoPick::NoneEligible)
            .map_err(nobody)?;
        Ok(Json(wire::Picked {
            service: service.name().to_string(),
            strategy: view.strategy().to_string(),
            view_version: view.version(),
            instance: api::describe_instance(app, service, member.instance().id.as_str())?,
        })
        .into_response())
    })
    .await
}
