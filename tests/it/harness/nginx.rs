//! A real nginx in front of servers, whose connections it keeps.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use super::client::Client;
use super::directory::Directory;
use super::outside::is_installed;
use super::program::free_address;
use super::wait::eventually_blocking;

pub(crate) struct Nginx {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

impl Nginx {
    /// `None` if nginx is not installed.
    pub(crate) fn in_front_of(servers: &[SocketAddr]) -> Option<Self> {
        if !is_installed("nginx", "-v") {
            return None;
        }
        let directory = Directory::new();
        let address = free_address();
        let servers: String = servers.iter().map(|server| format!("server {server} max_fails=0; ")).collect();
        let path = directory.path().display();
        directory.write(
            "nginx.conf",
            format!(
                "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;
                events {{ worker_connections 512; }}
                http {{
                    access_log off;
                    client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
                    uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
                    upstream roomkey {{ {servers} keepalive 32; }}
                    server {{
                        listen {address};
                        keepalive_requests 1000000;
                        location / {{
                            proxy_pass http://roomkey;
                            proxy_http_version 1.1;
                            proxy_set_header Connection \"\";
                        }}
                    }}
                }}"
            ),
        );
        let arguments = ["-p", ".", "-c", "nginx.conf", "-e", "error.log"];
        let child = Command::new("nginx").current_dir(directory.path()).args(arguments).spawn().unwrap();
        let nginx = Self { child, address, directory };
        eventually_blocking("nginx listens", || TcpStream::connect(nginx.address).is_ok());
        Some(nginx)
    }

    /// Sends `request` through it again and again while `restart` runs four times. Each must be answered with 200.
    pub(crate) fn under_load(&self, request: &[u8], mut restart: impl FnMut()) {
        let enough = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let (enough, answered, address) = (Arc::clone(&enough), Arc::clone(&answered), self.address);
                let request = request.to_vec();
                thread::spawn(move || {
                    let mut client = Client::connect(address);
                    let mut failed = 0;
                    while !enough.load(Relaxed) {
                        let answer = client.ask(&request);
                        failed += usize::from(answer.status != 200);
                        answered.fetch_add(1, Relaxed);
                    }
                    failed
                })
            })
            .collect();
        for _ in 0..4 {
            let before = answered.load(Relaxed);
            eventually_blocking("requests are answered", || answered.load(Relaxed) >= before + 500);
            restart();
        }
        enough.store(true, Relaxed);
        let failed: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        let errors = fs::read_to_string(self.directory.file("error.log")).unwrap_or_default();
        let errors: Vec<_> = errors.lines().filter(|line| !line.contains("Connection refused")).take(10).collect();
        assert_eq!(failed, 0, "of {}: {errors:#?}", answered.load(Relaxed));
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
