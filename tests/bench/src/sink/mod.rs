//! A service that answers the calls of S3 that an export makes, in a process of its own, so that its work is not
//! counted. What is uploaded in parts is read off the socket and forgotten; small objects, such as manifests, are
//! kept and can be read.
//!
//! It takes the checksums that it is told, and compares nothing: what that costs, Amazon pays, not whoever uploads.

mod objects;

use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::Result;
use crate::http::Request;
use objects::Objects;

/// Bodies up to this are kept, in bytes.
const KEPT: u64 = 1 << 20;

/// Serves until its process is ended. Prints the port first, so that whoever started it knows where and when.
pub(crate) fn run() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?.port());
    let objects = Arc::new(Mutex::new(Objects::default()));
    for connection in listener.incoming() {
        let (connection, objects) = (connection?, Arc::clone(&objects));
        thread::spawn(move || {
            // A connection that breaks off is its client's to notice.
            if let Err(error) = serve(&connection, &objects) {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    Ok(())
}

fn serve(connection: &TcpStream, objects: &Mutex<Objects>) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut input = BufReader::with_capacity(256 << 10, connection);
    let mut output = connection;
    while let Some(request) = Request::read(&mut input, &mut output, KEPT)? {
        let answer = objects.lock().unwrap_or_else(PoisonError::into_inner).answer(&request);
        output.write_all(&answer.to_bytes(request.is("HEAD")))?;
    }
    Ok(())
}
