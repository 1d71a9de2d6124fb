//! What operators do, over HTTP: they change the members and have leadership handed over.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use quorate_server::race;
use serde_json::{Value, json};

use super::clients::{Exchange, exchange};
use super::network::HostNet;
use super::stage::FullStack;
use crate::bounds::{OPERATOR, ORDER_PATIENCE};
use crate::identity::{HTTP_PORT, RAFT_PORT, address, node_id};
use crate::plan::{FIRST_CLIENT, Fault, Host};

/// How often an operator tries.
const PAUSE: Duration = Duration::from_millis(100);

/// How long one server may take to answer.
const PATIENCE_MS: u64 = 1_500;

/// Somebody who gives orders.
pub(super) struct Operator {
    stack: FullStack,
    net: HostNet,
}

impl Operator {
    pub(super) fn new(stack: FullStack) -> Self {
        let net = HostNet::new(stack.clone(), FIRST_CLIENT + OPERATOR);
        Operator { stack, net }
    }

    /// Tries to have the plan's order of this number carried out, by one server after the other, for a while.
    pub(super) async fn give_order(self, number: usize) {
        let until = self.stack.clock.now() + ORDER_PATIENCE;
        let fault = self.stack.plan.faults[number].fault.clone();
        let mut servers = self.stack.plan.hosts().collect::<Vec<Host>>().into_iter().cycle();
        while self.stack.clock.now() < until {
            let Some(server) = servers.next() else { return };
            if self.carry_out(server, &fault).await {
                self.stack.stage().world.fired().note(fault.kind());
                return;
            }
            self.pause().await;
        }
    }

    async fn carry_out(&self, server: Host, fault: &Fault) -> bool {
        match fault {
            Fault::Transfer { to } => {
                let body = to.map_or_else(|| json!({}), |to| json!({ "ID": node_id(to).to_string() }));
                self.post(server, "/raft/transfer", &body).await == Some(StatusCode::OK)
            }
            Fault::Change { voters, learners } => {
                let ids =
                    |hosts: &[Host]| hosts.iter().map(|host| node_id(*host).to_string()).collect::<Vec<_>>();
                let body = json!({ "voters": ids(voters), "learners": ids(learners) });
                let status = self.post(server, "/raft/members", &body).await;
                if status == Some(StatusCode::NOT_FOUND) {
                    for host in voters.iter().chain(learners) {
                        self.add(server, *host, "learner").await;
                    }
                }
                status == Some(StatusCode::OK)
            }
            _ => true,
        }
    }

    /// Makes all of the healed core voters again, for as long as it takes.
    pub(super) async fn restore_members(self) {
        let core = self.stack.plan.cluster.core.clone();
        for (server, host) in core.iter().cycle().zip(core.iter().cycle().skip(1)) {
            self.add(*server, *host, "voter").await;
            self.post(*server, "/raft/promote", &json!({ "ID": node_id(*host).to_string() })).await;
            self.pause().await;
        }
    }

    async fn add(&self, server: Host, host: Host, role: &str) {
        let peers = format!("{}:{RAFT_PORT}", address(host));
        let mut body = json!({ "ID": node_id(host).to_string(), "Address": peers });
        if role == "learner" {
            body["Role"] = json!(role);
        }
        self.post(server, "/raft/add", &body).await;
    }

    async fn pause(&self) {
        self.stack.clock.sleep_until(self.stack.clock.now() + PAUSE).await;
    }

    /// The status of the answer, when there is one in time.
    async fn post(&self, server: Host, path: &str, body: &Value) -> Option<StatusCode> {
        let at = format!("{}:{HTTP_PORT}", address(server));
        let request = Request::post(format!("{path}?timeout={PATIENCE_MS}ms"))
            .header(HOST, &at)
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a plain path and headers make a request");
        let patience = self.stack.clock.now() + Duration::from_millis(PATIENCE_MS * 2);
        match race(exchange(&self.net, &at, request), self.stack.clock.sleep_until(patience)).await {
            quorate_server::Either::Left(Exchange::Answered(response)) => Some(response.status()),
            _ => None,
        }
    }
}
