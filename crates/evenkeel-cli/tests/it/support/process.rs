//! The process under test: its log, its signals, its memory, its end.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use super::{DEADLINE, Folder, client, until};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_evenkeel");

/// Runs a command to its end.
pub(crate) fn evenkeel(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A running `evenkeel serve`, killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// What reads the log, to its end.
    reader: JoinHandle<()>,
    config: PathBuf,
    folder: Folder,
}

impl Server {
    /// Starts with this configuration and waits until it is ready.
    pub(crate) async fn start(config: &str) -> Self {
        let folder = Folder::new();
        let path = folder.write("evenkeel.yaml", config);
        let server = Self::spawn(folder, &["--config", path.to_str().unwrap()]);
        server.line("evenkeel is ready").await;
        server
    }

    /// Starts with this configuration, and with a file where its state would go.
    pub(crate) async fn without_state(config: &str) -> Self {
        let folder = Folder::new();
        folder.write("evenkeel", "no directory");
        let path = folder.write("evenkeel.yaml", config);
        let server = Self::spawn(folder, &["--config", path.to_str().unwrap()]);
        server.line("evenkeel is ready").await;
        server
    }

    /// Starts with flags and waits until it is ready.
    pub(crate) async fn with_flags(flags: &[&str]) -> Self {
        let server = Self::spawn(Folder::new(), flags);
        server.line("evenkeel is ready").await;
        server
    }

    /// Starts with flags, and a limit of open files.
    pub(crate) async fn with_open_files(files: u32, flags: &[&str]) -> Self {
        let script = format!("ulimit -n {files}; exec \"$0\" serve \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, BINARY]).args(flags);
        let server = Self::run(Folder::new(), &mut command);
        server.line("evenkeel is ready").await;
        server
    }

    fn spawn(folder: Folder, arguments: &[&str]) -> Self {
        Self::run(folder, Command::new(BINARY).arg("serve").args(arguments))
    }

    fn run(folder: Folder, command: &mut Command) -> Self {
        let mut child = command
            // Never the state of whoever runs the tests.
            .env("XDG_STATE_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let config = folder.path().join("evenkeel.yaml");
        Self {
            child,
            log,
            reader,
            config,
            folder,
        }
    }

    /// Where it keeps its state unless the configuration says otherwise.
    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("evenkeel")
    }

    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// All of its log so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// The first log line that contains `words`, once there is one.
    pub(crate) async fn line(&self, words: &str) -> String {
        self.lines(words, 1).await.remove(0)
    }

    /// The log lines that contain `words`, once there are `count`.
    pub(crate) async fn lines(&self, words: &str, count: usize) -> Vec<String> {
        let asking = until(words, || async {
            let log = self.log.lock().unwrap();
            let found: Vec<_> = log.iter().filter(|line| line.contains(words)).cloned().collect();
            (found.len() >= count).then_some(found)
        });
        let found = tokio::time::timeout(DEADLINE / 2, asking).await;
        found.unwrap_or_else(|_| panic!("no {words:?} in the log:\n{}", self.log()))
    }

    /// The address of a listener, as logged last.
    pub(crate) async fn address(&self, listener: &str) -> SocketAddr {
        let lines = self.lines(&format!("listener={listener} "), 1).await;
        field(lines.last().unwrap(), "address")
    }

    /// The address of a listener of a server that is ready.
    pub(crate) fn address_now(&self, listener: &str) -> SocketAddr {
        let log = self.log.lock().unwrap();
        let words = format!("listener={listener} ");
        field(log.iter().rfind(|line| line.contains(&words)).unwrap(), "address")
    }

    /// The address of the admin side.
    pub(crate) async fn admin(&self) -> SocketAddr {
        field(&self.line("evenkeel is ready").await, "admin")
    }

    /// The body of an admin page.
    pub(crate) async fn page(&self, path: &str) -> String {
        client::get(self.admin().await, path).await.unwrap().body
    }

    /// A sample of `/metrics`, zero when it is not there.
    pub(crate) async fn metric(&self, sample: &str) -> f64 {
        let page = self.page("/metrics").await;
        let found = page
            .lines()
            .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        found.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Instance `index` of service `web`, as the admin side shows it.
    pub(crate) async fn instance(&self, index: usize) -> serde_json::Value {
        let page = self.page("/api/v1/services/web/instances").await;
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        page["instances"][index].clone()
    }

    /// Waits until instance `index` is in `state`.
    pub(crate) async fn in_state(&self, index: usize, state: &str) -> serde_json::Value {
        let what = format!("instance {index} is {state}");
        until(&what, || async {
            let instance = self.instance(index).await;
            (instance["state"] == state).then_some(instance)
        })
        .await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Writes a new configuration, asks for a reload and waits until it is over.
    pub(crate) async fn reload(&self, config: &str, outcome: &str) {
        std::fs::write(&self.config, config).unwrap();
        let sample = format!("evenkeel_config_reloads_total{{result=\"{outcome}\"}}");
        let before = self.metric(&sample).await;
        self.signal(Signal::HUP);
        until("the reload", || async {
            (self.metric(&sample).await > before).then_some(())
        })
        .await;
    }

    /// Waits for its end, and for that of its log.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        let ending = async {
            loop {
                ticks.tick().await;
                let ended = self.child.try_wait().unwrap();
                if let Some(status) = ended.filter(|_| self.reader.is_finished()) {
                    return status;
                }
            }
        };
        tokio::time::timeout(DEADLINE, ending).await.expect("it ends")
    }

    /// A number of `/proc/PID/status` in bytes, such as `VmRSS` or `VmHWM`.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// How many of its threads have a name that begins with this.
    pub(crate) fn threads(&self, name: &str) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        names
            .filter(|own| own.as_ref().is_ok_and(|own| own.starts_with(name)))
            .count()
    }

    /// How many file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the process ---\n{}", self.log());
        }
    }
}

/// The value of `name=` in a log line.
pub(crate) fn field(line: &str, name: &str) -> SocketAddr {
    let (_, rest) = line.split_once(&format!(" {name}=")).unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}
