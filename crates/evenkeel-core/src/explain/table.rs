//! An explanation as a table for people.

use std::fmt;

use super::Explanation;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "service {} by {}: {}",
            self.service,
            self.strategy,
            self.strategy.summary()
        )?;
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(
            f,
            "{:<24} {:<10} {:<15} {:>6} {:>5} {:>5} {:>9} {:>11}  why",
            "instance", "state", "chosen", "odds", "score", "share", "in flight", "response"
        )?;
        for one in &self.instances {
            let id = one.instance.id.as_str();
            let is_choice = self.choice.as_ref().is_ok_and(|choice| choice.as_str() == id);
            let chosen = match one.excluded {
                Some(stage) => stage.as_str(),
                None if is_choice => "now",
                None => "may be",
            };
            let response = one.response_time.map_or("-".to_owned(), |time| {
                format!("{:.1} ms", time.as_secs_f64() * 1e3)
            });
            let stages = one.stages.iter().map(|finding| finding.reason.as_str());
            let why: Vec<&str> = stages.chain(one.lost.as_deref()).collect();
            let why = if why.is_empty() {
                &*one.reason
            } else {
                &why.join("; ")
            };
            writeln!(
                f,
                "{id:<24} {:<10} {chosen:<15} {:>5.1}% {:>5.2} {:>5.2} {:>9} {response:>11}  {why}",
                one.state.as_str(),
                one.odds * 100.0,
                one.score,
                one.share,
                one.in_flight,
            )?;
        }
        match &self.choice {
            Ok(id) => write!(f, "a pick would choose {id}"),
            Err(why) => write!(f, "a pick would find nobody: {why}"),
        }
    }
}
