//! The way as a process.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::CONNECTIONS;

/// How much is read at a time, in bytes.
const PIECE: usize = 64 * 1024;
/// How many pieces are on their way in one direction at most.
const PIECES: usize = 256;

/// Leads from `address` to `server`, as `HOST:PORT`, until it is ended. Notes each connection in `folder`.
///
/// # Errors
/// When it cannot listen, or its folder cannot be used.
pub async fn serve(address: SocketAddr, server: &str, there_and_back: Duration, folder: &Path) -> io::Result<()> {
    let mut connections = OpenOptions::new().append(true).open(folder.join(CONNECTIONS))?;
    let listener = TcpListener::bind(address).await?;
    loop {
        let (near, from) = listener.accept().await?;
        // In one write, as somebody may be reading.
        connections.write_all(format!("{from}\n").as_bytes())?;
        let server = server.to_owned();
        tokio::spawn(async move {
            if let Err(error) = lead(near, &server, there_and_back).await {
                eprintln!("a connection has ended: {error}");
            }
        });
    }
}

/// Leads one connection to the server. To make it takes one way there and back, which the system of a far server would
/// take before it says that it has accepted.
async fn lead(near: TcpStream, server: &str, there_and_back: Duration) -> io::Result<()> {
    let made = Instant::now() + there_and_back;
    let far = TcpStream::connect(server).await?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
    }
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    let way = there_and_back / 2;
    tokio::try_join!(carry(from_near, to_far, made, way), carry(from_far, to_near, made, way))?;
    Ok(())
}

/// Carries what is said in one direction: each piece arrives as long after it was said as the way is, and nothing is
/// said before the connection is made.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    made: Instant,
    way: Duration,
) -> io::Result<()> {
    let (said, mut heard) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let read = async move {
        loop {
            let mut piece = vec![0; PIECE];
            let length = from.read(&mut piece).await?;
            piece.truncate(length);
            let arrives = Instant::now().max(made) + way;
            if said.send((arrives, piece)).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let write = async move {
        while let Some((arrives, piece)) = heard.recv().await {
            sleep_until(arrives).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    const WAY: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn what_is_said_arrives_later_and_as_it_was_said() {
        let (mut here, near) = duplex(1024);
        let (far, mut there) = duplex(1024);
        let began = Instant::now();
        let carried = tokio::spawn(carry(near, far, began + 2 * WAY, WAY));
        here.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        there.read_exact(&mut heard).await.unwrap();
        assert_eq!((&heard, began.elapsed()), (b"hello", 3 * WAY));
        // What is said at once arrives at once.
        let said = Instant::now();
        here.write_all(b"good").await.unwrap();
        here.write_all(b"bye").await.unwrap();
        drop(here);
        let mut rest = String::new();
        there.read_to_string(&mut rest).await.unwrap();
        assert_eq!((rest.as_str(), said.elapsed()), ("goodbye", WAY));
        carried.await.unwrap().unwrap();
    }
}
