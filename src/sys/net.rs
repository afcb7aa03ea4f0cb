//! Host ports: whether one is free, and who holds it.

use std::{
    collections::HashMap,
    fmt, fs,
    io::ErrorKind,
    net::{Ipv4Addr, TcpListener},
    path::Path,
};

use super::user::User;

/// True when nothing listens on the port now, on loopback or on all addresses.
///
/// A port that this user may not bind (below 1024) counts as free: the engine may.
pub fn port_is_free(port: u16) -> bool {
    [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .all(|address| match TcpListener::bind((address, port)) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::AddrInUse,
        })
}

/// True when this user may listen on the port of loopback now.
pub fn port_can_be_bound(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && port_is_free(port)
}

/// The word of this process that the next program to listen on a port is one it starts: until then the port looks free to others.
/// Given up when dropped, and with the process.
pub struct PortClaim {
    #[cfg(target_os = "linux")]
    _name: std::os::unix::net::UnixListener,
}

impl PortClaim {
    /// `None` when another process has it. Among all users and worktrees of this machine, by a name that the kernel keeps as it keeps
    /// ports: for a network namespace.
    #[cfg(target_os = "linux")]
    pub fn of(port: u16) -> Option<Self> {
        use std::os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener},
        };
        let address = SocketAddr::from_abstract_name(format!("devenv/port/{port}")).ok()?;
        let _name = UnixListener::bind_addr(&address).ok()?;
        Some(Self { _name })
    }

    #[cfg(not(target_os = "linux"))]
    pub fn of(_: u16) -> Option<Self> {
        Some(Self {})
    }
}

/// The process that listens on a TCP port of this machine, where the kernel tells (Linux, own processes or root).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHolder {
    pub pid: u32,
    pub command: String,
}

/// "`python3` (pid 12)"
impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (pid {})", self.command, self.pid)
    }
}

/// All processes that listen, from one look at the machine.
pub struct PortHolders {
    sockets: HashMap<u16, Vec<Listening>>,
    /// Socket inode → the process that has it open.
    pids: HashMap<String, u32>,
}

struct Listening {
    inode: String,
    uid: u32,
}

impl PortHolders {
    pub fn read() -> Self {
        let mut sockets: HashMap<u16, Vec<Listening>> = HashMap::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let table = fs::read_to_string(table).unwrap_or_default();
            for (port, socket) in listening(&table) {
                sockets.entry(port).or_default().push(socket);
            }
        }
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut pids = HashMap::new();
        for pid in processes {
            for inode in open_sockets(pid) {
                pids.entry(inode).or_insert(pid);
            }
        }
        Self { sockets, pids }
    }

    pub fn of(&self, port: u16) -> Option<PortHolder> {
        let mut sockets = self.sockets.get(&port)?.iter();
        let pid = *sockets.find_map(|socket| self.pids.get(&socket.inode))?;
        Some(PortHolder {
            pid,
            command: fs::read_to_string(format!("/proc/{pid}/comm"))
                .map(|comm| comm.trim().to_owned())
                .unwrap_or_default(),
        })
    }

    /// Whose program listens on the port, also where this user may not see which it is.
    pub fn user_of(&self, port: u16) -> Option<String> {
        let socket = self.sockets.get(&port)?.first()?;
        Some(User::name_of(socket.uid))
    }
}

/// Ports and sockets in state LISTEN (0A). Format: proc(5), `/proc/net/tcp`.
fn listening(table: &str) -> impl Iterator<Item = (u16, Listening)> {
    table.lines().skip(1).filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (local, state, inode) = (columns.get(1)?, columns.get(3)?, columns.get(9)?);
        let uid = columns.get(7)?.parse().ok()?;
        let (_, port) = local.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = (*inode).to_owned();
        (*state == "0A").then_some((port, Listening { inode, uid }))
    })
}

/// Inodes of the sockets that a process has open, as far as this user may look.
fn open_sockets(pid: u32) -> impl Iterator<Item = String> {
    let fds = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd"));
    let links = fds.into_iter().flatten().flatten();
    links
        .filter_map(|fd| fs::read_link(fd.path()).ok())
        .filter_map(|target| {
            let inode = target.to_str()?.strip_prefix("socket:[")?;
            Some(inode.strip_suffix(']')?.to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_nobody_elses_until_it_is_given_up() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        assert!(!port_can_be_bound(port));
        let claim = PortClaim::of(port).expect("nobody has it");
        assert!(PortClaim::of(port).is_none());
        drop(claim);
        assert!(PortClaim::of(port).is_some());
    }

    #[test]
    fn finds_the_process_that_listens() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!port_is_free(port));
        let holders = PortHolders::read();
        assert_eq!(holders.of(port).unwrap().pid, std::process::id());
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(holders.user_of(port), Some(User::name_of(own)));
        drop(listener);
        // A child that another test forks has it until it becomes its own program.
        while !port_is_free(port) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_listener_on_all_addresses_takes_the_port() {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!port_is_free(port));
    }
}
