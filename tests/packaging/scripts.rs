//! The check scripts that are shipped: yes is 0, no is 1 or what curl says, and a wrong call is neither.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::common::{Need, require, tool};

fn script(name: &str, arguments: &[&str]) -> i32 {
    let path = format!("{}/packaging/checks/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("it starts").code().expect("an exit code")
}

#[test]
fn a_wrong_call_is_told_from_an_answer() {
    for name in ["check-http", "check-process", "check-tcp"] {
        assert_eq!(script(name, &[]), 64, "{name}");
    }
}

#[test]
fn a_process_is_found_by_its_whole_name() {
    if !require(&[Need::Tool("pgrep")]) {
        return;
    }
    let folder = std::env::temp_dir().join(format!("locum-scripts-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("made");
    let name = format!("lc{}", std::process::id());
    fs::copy(tool("sleep").expect("there"), folder.join(&name)).expect("copied");
    assert_eq!(script("check-process", &[&name]), 1);
    let mut sleeper = Command::new(folder.join(&name)).arg("60").spawn().expect("it starts");
    assert_eq!(script("check-process", &[&name]), 0);
    assert_eq!(script("check-process", &[&name[1..]]), 1, "a part of the name");
    sleeper.kill().expect("killed");
    sleeper.wait().expect("it ends");
    assert_eq!(script("check-process", &[&name]), 1);
    fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn a_port_answers_or_not() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("known").port().to_string();
    assert_eq!(script("check-tcp", &["127.0.0.1", &port]), 0);
    drop(listener);
    assert_eq!(script("check-tcp", &["127.0.0.1", &port]), 1);
}

#[test]
fn a_page_is_there_or_not() {
    if !require(&[Need::Tool("curl")]) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("http://{}/health", listener.local_addr().expect("known"));
    let server = std::thread::spawn(move || {
        for status in ["200 OK", "503 Service Unavailable"] {
            let (mut client, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(client.try_clone().expect("a copy")).lines();
            while lines.next().is_some_and(|line| !line.expect("text").is_empty()) {}
            write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("sent");
        }
    });
    assert_eq!(script("check-http", &[&url]), 0);
    // As curl says that the server did not want to.
    assert_eq!(script("check-http", &[&url]), 22);
    server.join().expect("it ends");
    // Nobody is there any more.
    assert_eq!(script("check-http", &[&url]), 7);
}
