//! Which ports let anybody in whom the network lets through.

use std::fmt;

use quorate_client::Address;

use super::ServeConfig;

/// A port beyond loopback on which nobody is asked who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPort {
    flag: &'static str,
    address: Address,
    remedy: &'static str,
}

impl fmt::Display for OpenPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OpenPort { flag, address, .. } = self;
        write!(
            formatter,
            "--{flag} is {address}, which is more than loopback, and whoever reaches it may do anything"
        )
    }
}

/// Such ports, and nobody has said that it is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{port}: give {}, or listen at 127.0.0.1:{}; --insecure allows it as it is, where the network keeps strangers out",
    port.remedy, port.address.port()
)]
pub struct OpenPortError {
    port: OpenPort,
}

impl ServeConfig {
    /// Refuses ports that are open to the world, unless `--insecure` allows them; then it names them.
    ///
    /// # Errors
    /// [`OpenPortError`], of the first one.
    pub fn refuse_open(&self) -> Result<Vec<OpenPort>, OpenPortError> {
        let open = self.open_ports();
        match open.first() {
            Some(port) if !self.insecure => Err(OpenPortError { port: port.clone() }),
            _ => Ok(open),
        }
    }

    /// Whether a new node is taken in without a join token: nobody is asked for a token of any kind, and who could join
    /// is on this machine.
    pub(crate) fn joins_are_open(&self) -> bool {
        self.tokens.is_none() && self.listen.is_loopback() && self.raft_listen.is_loopback()
    }

    /// A name other than `localhost` may lead anywhere, and so counts as open, as wildcards do.
    fn open_ports(&self) -> Vec<OpenPort> {
        let http = OpenPort {
            flag: "listen",
            address: self.listen.clone(),
            remedy: "--tokens, or --tls-cert, --tls-key and --tls-client-ca",
        };
        let peers = OpenPort {
            flag: "raft-listen",
            address: self.raft_listen.clone(),
            remedy: "--peer-tls-cert, --peer-tls-key and --peer-tls-ca",
        };
        // A certificate of ours tells nobody who asks.
        let is_closed = [self.tls.client_ca.is_some() || self.tokens.is_some(), self.tls.peers.is_some()];
        let ports = [http, peers].into_iter().zip(is_closed);
        ports
            .filter(|(port, is_closed)| !is_closed && !port.address.is_loopback())
            .map(|(port, _)| port)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::{Flags, ServeConfig, Surroundings, resolve};

    const HTTP: [(&str, &str); 3] = [("tls-cert", "c"), ("tls-key", "k"), ("tls-ca", "a")];
    const CLIENTS: [(&str, &str); 1] = [("tls-client-ca", "a")];
    const PEERS: [(&str, &str); 3] = [("peer-tls-cert", "c"), ("peer-tls-key", "k"), ("peer-tls-ca", "a")];

    fn refused(flags: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let open = resolved(flags).refuse_open().map_err(|error| error.to_string())?;
        Ok(open.iter().map(|port| port.flag.to_owned()).collect())
    }

    fn resolved(flags: &[(&str, &str)]) -> ServeConfig {
        let mut given = Flags::default();
        for (name, value) in [&[("data-dir", "/d"), ("advertise-url", "")][..], flags].concat() {
            given.values.insert(name.to_owned(), vec![value.to_owned()]);
        }
        let scheme = if given.values.contains_key("tls-cert") { "https" } else { "http" };
        given.values.insert("advertise-url".to_owned(), vec![format!("{scheme}://node.example:80")]);
        let surroundings = Surroundings { variable: &|_| None, own_address: &|| None };
        resolve(&given, &surroundings).unwrap().config
    }

    #[test]
    fn joins_are_open_on_loopback_alone_and_where_nobody_is_asked() {
        let open = |flags: &[(&str, &str)]| resolved(flags).joins_are_open();
        assert!(open(&[]) && open(&[("listen", "[::1]:1")]));
        assert!(!open(&[("listen", "10.0.0.1:1")]) && !open(&[("raft-listen", "0.0.0.0:1")]));
        assert!(!open(&[("insecure", "true"), ("listen", "10.0.0.1:1")]) && !open(&[("tokens", "t")]));
    }

    #[test]
    fn loopback_is_never_open() {
        for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(refused(&[("listen", address)]), Ok(vec![]), "{address}");
        }
    }

    #[test]
    fn what_is_open_is_refused_and_the_remedy_named() {
        for address in ["10.0.0.1:1", "0.0.0.0:1", "[::]:1", "node-1:1", "localhost.example:1", "[fe80::1]:1"]
        {
            let error = refused(&[("listen", address), ("raft-listen", "127.0.0.1:2")]).unwrap_err();
            for word in [&format!("--listen is {address}"), "--tls-cert", "127.0.0.1:1", "--insecure"] {
                assert!(error.contains(word), "{word} is not in {error}");
            }
            let error = refused(&[("raft-listen", address)]).unwrap_err();
            for word in [&format!("--raft-listen is {address}"), "--peer-tls-cert", "--insecure"] {
                assert!(error.contains(word), "{word} is not in {error}");
            }
        }
    }

    #[test]
    fn each_port_needs_its_own() {
        let open = ("listen", "0.0.0.0:1");
        let with =
            |more: &[&[(&'static str, &'static str)]]| refused(&[&[open][..], &more.concat()].concat());
        assert!(with(&[&HTTP, &CLIENTS]).unwrap_err().contains("--raft-listen"));
        assert!(with(&[&PEERS]).unwrap_err().contains("--listen"));
        assert_eq!(with(&[&HTTP, &CLIENTS, &PEERS]), Ok(vec![]));
        let hidden_and_open = with(&[&HTTP, &PEERS]).unwrap_err();
        assert!(hidden_and_open.contains("--listen") && hidden_and_open.contains("--tls-client-ca"));
        assert_eq!(with(&[&[("tokens", "t")], &PEERS]), Ok(vec![]));
        assert!(with(&[&[("tokens", "t")]]).unwrap_err().contains("--raft-listen"));
        let insecure = ("insecure", "true");
        assert_eq!(with(&[&[insecure]]), Ok(vec!["listen".to_owned(), "raft-listen".to_owned()]));
        assert_eq!(with(&[&[insecure], &HTTP, &CLIENTS]), Ok(vec!["raft-listen".to_owned()]));
    }
}
