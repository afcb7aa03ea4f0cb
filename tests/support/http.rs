//! The smallest HTTP client that tells a body.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// The body of GET `url`, such as `http://127.0.0.1:8080`, which must answer 200.
#[track_caller]
pub fn get(url: &str) -> String {
    let address = url.strip_prefix("http://").expect("an http address");
    let mut stream = TcpStream::connect(address).expect("a server");
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.lines().next().is_some_and(|l| l.contains(" 200 ")),
        "{head}"
    );
    body.to_owned()
}
