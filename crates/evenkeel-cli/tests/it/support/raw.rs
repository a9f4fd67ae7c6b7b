//! A client that sees the bytes.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::DEADLINE;

/// A connection with what was sent.
pub(crate) async fn send(address: SocketAddr, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

/// Everything up to the end of the connection.
pub(crate) async fn to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut all)).await;
    read.expect("the connection ends").unwrap();
    String::from_utf8_lossy(&all).into_owned()
}

/// Everything up to and with `mark`.
pub(crate) async fn through(stream: &mut TcpStream, mark: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        while !all.ends_with(mark.as_bytes()) {
            all.push(stream.read_u8().await.unwrap());
        }
    };
    let read = tokio::time::timeout(DEADLINE, reading).await;
    read.unwrap_or_else(|_| panic!("no {mark:?}"));
    String::from_utf8_lossy(&all).into_owned()
}

/// A response with a content-length of which the body is text.
pub(crate) async fn to_length(stream: &mut TcpStream) -> String {
    let head = through(stream, "\r\n\r\n").await;
    let lower = head.to_ascii_lowercase();
    let (_, rest) = lower.split_once("content-length: ").unwrap();
    let mut body = vec![0; rest.lines().next().unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8_lossy(&body)
}
