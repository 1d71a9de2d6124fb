//! What hyper allows: a server that answers with bodies as large as Quorate's, and does nothing else.
//!
//! `bare-hyper PORT` serves on loopback with one thread, as each node does. A `POST` is read and answered as a put is,
//! a `GET` as the get of a value of 256 bytes.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const VALUE: &[u8] = &[b'x'; 256];
const SUCCESS: &[u8] = br#"{"status":"success"}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(9_999);
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (kind, body) = match *request.method() {
        Method::GET => ("application/octet-stream", VALUE),
        _ => {
            // A body that breaks off breaks the connection, too.
            let _ = request.into_body().collect().await;
            ("application/json; charset=utf-8", SUCCESS)
        }
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}
