//! Hosts of their own for tests: network namespaces joined to this one by a cable each; where those are not allowed, a relay on loopback
//! for each. Either way the cable can be pulled.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A host. Its network is gone when dropped.
#[derive(Debug)]
pub struct Host {
    /// Its name.
    pub name: String,
    cable: Cable,
}

#[derive(Debug)]
enum Cable {
    /// A pair of virtual cards: the near one, the other one's namespace, and this side's address.
    Pair { near: String, space: String, address: String },
    /// A relay that holds back while this is set, and its port.
    Relay { pulled: Arc<AtomicBool>, address: SocketAddr },
}

impl Host {
    /// Hosts that reach what listens on `port` here; `true`: they are namespaces.
    ///
    /// # Panics
    /// If a port cannot be listened on.
    pub fn several(names: &[&str], port: u16) -> (Vec<Self>, bool) {
        let spaces: Option<Vec<Self>> = names.iter().map(|name| Self::namespace(name)).collect();
        match spaces {
            Some(hosts) => (hosts, true),
            None => (names.iter().map(|name| Self::relayed(name, port)).collect(), false),
        }
    }

    fn namespace(name: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let space = format!("gw-{process}-{number}");
        // Names of cards have 15 letters at most.
        let (near, far) =
            (format!("gw{}n{number}", process % 100_000), format!("gw{}f{number}", process % 100_000));
        let net = format!("10.{}.{}", 64 + process % 128, number % 256);
        let made = ip(&["netns", "add", &space])
            && ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", &space])
            && ip(&["addr", "add", &format!("{net}.1/24"), "dev", &near])
            && ip(&["link", "set", &near, "up"])
            && ip(&["-n", &space, "addr", "add", &format!("{net}.2/24"), "dev", &far])
            && ip(&["-n", &space, "link", "set", &far, "up"])
            && ip(&["-n", &space, "link", "set", "lo", "up"]);
        if made {
            let cable = Cable::Pair { near, space, address: format!("{net}.1") };
            return Some(Self { name: name.to_owned(), cable });
        }
        ip(&["netns", "del", &space]);
        None
    }

    fn relayed(name: &str, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let pulled = Arc::new(AtomicBool::new(false));
        let held = pulled.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Ok(to) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                relay(&stream, &to, &held);
                relay(&to, &stream, &held);
            }
        });
        Self { name: name.to_owned(), cable: Cable::Relay { pulled, address } }
    }

    /// Where what listens here is, seen from there.
    pub fn address(&self, port: u16) -> String {
        match &self.cable {
            Cable::Pair { address, .. } => format!("{address}:{port}"),
            Cable::Relay { address, .. } => address.to_string(),
        }
    }

    /// The same command, on that host.
    #[must_use]
    pub fn on(&self, command: &Command) -> Command {
        let mut there = match &self.cable {
            Cable::Pair { space, .. } => {
                let mut there = Command::new("ip");
                there.args(["netns", "exec", space]).arg(command.get_program());
                there
            }
            Cable::Relay { .. } => Command::new(command.get_program()),
        };
        there.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => there.env(name, value),
                None => there.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            there.current_dir(folder);
        }
        there
    }

    /// Pulls its cable, or plugs it in.
    pub fn pull(&self, is_pulled: bool) {
        match &self.cable {
            Cable::Pair { near, .. } => {
                ip(&["link", "set", near, if is_pulled { "down" } else { "up" }]);
            }
            Cable::Relay { pulled, .. } => pulled.store(is_pulled, Ordering::SeqCst),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Cable::Pair { near, space, .. } = &self.cable {
            ip(&["link", "del", near]);
            ip(&["netns", "del", space]);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|done| done.status.success())
}

/// Passes on what comes, unless the cable is pulled.
fn relay(from: &TcpStream, to: &TcpStream, pulled: &Arc<AtomicBool>) {
    let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
    let pulled = pulled.clone();
    std::thread::spawn(move || {
        let mut bytes = [0u8; 16_384];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            while pulled.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    });
}
