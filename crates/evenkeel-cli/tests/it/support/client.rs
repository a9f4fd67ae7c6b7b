//! A keep-alive client for the tests, on hyper.

use std::net::SocketAddr;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| format!("connect: {e}"))?;
        let _ = stream.set_nodelay(true);
        let made = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, "").await
    }

    /// GET with one field more.
    pub(crate) async fn get_with(&mut self, path: &str, field: (&str, &str)) -> Result<Answer, String> {
        self.exchange(Method::GET, path, "", Some(field)).await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, body: &str) -> Result<Answer, String> {
        self.exchange(method, path, body, None).await
    }

    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: &str,
        field: Option<(&str, &str)>,
    ) -> Result<Answer, String> {
        // An end that was announced with the last response is no error.
        if self.sender.ready().await.is_err() {
            *self = Self::connect(self.address).await?;
        }
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.address.to_string());
        if let Some((name, value)) = field {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let describe = |error: hyper::Error| format!("{path}: {error:?}");
        let response = self.sender.send_request(request).await.map_err(describe)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(describe)?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<Answer, String> {
    Client::connect(address).await?.get(path).await
}
