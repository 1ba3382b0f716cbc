//! The addresses of this machine.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
};

/// Returns the address of this machine from which a packet to `destination` would come. None is sent.
///
/// # Errors
/// When there is no way to it.
pub(crate) fn source_address(destination: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if destination.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(destination)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_to_this_machine_comes_from_it() {
        let here = SocketAddr::from(([127, 0, 0, 1], 9));
        assert_eq!(source_address(here).unwrap(), here.ip());
    }
}
