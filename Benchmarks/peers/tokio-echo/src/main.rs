// SPDX-License-Identifier: Apache-2.0
//
// tokio-echo: an echo server on tokio's current_thread runtime, one task for
// each connection, which reads and writes in a loop.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BUFFER_SIZE: usize = 16384;

fn port_argument() -> u16 {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = match arguments.as_slice() {
        [] => Some(0),
        [name, value] if name == "--port" => value.parse().ok(),
        _ => None,
    };
    port.unwrap_or_else(|| {
        eprintln!("usage: tokio-echo [--port PORT]");
        std::process::exit(2)
    })
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let size = stream.read(&mut buffer).await?;
        if size == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..size]).await?;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port_argument())).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        // A failed accept (no descriptors left, say) is not the end of the server.
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(echo(stream))),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
