//! What operators do, over HTTP: they change the members and have leadership handed over.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HOST;
use hyper::http::request::Builder;
use hyper::{Request, Response, StatusCode};
use quorate_node::raft::{NodeId, parse_id};
use quorate_server::{Either, race};
use serde_json::{Value, json};

use super::clients::{Exchange, exchange};
use super::network::HostNet;
use super::stage::FullStack;
use crate::bounds::{OPERATOR, ORDER_PATIENCE};
use crate::identity::{HTTP_PORT, RAFT_PORT, address, node_id};
use crate::observe::{Observation, Wanted};
use crate::plan::{FIRST_CLIENT, Fault, Host, Order};

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
                let body = to.map_or_else(|| json!({}), |to| json!({ "ID": self.id_of(to).to_string() }));
                self.post(server, "/raft/transfer", &body).await == Some(StatusCode::OK)
            }
            Fault::Change { voters, learners } => {
                let ids = |hosts: &[Host]| hosts.iter().map(|host| self.id_of(*host)).collect::<Vec<_>>();
                let status = self.set_members(server, ids(voters), ids(learners)).await;
                if status == Some(StatusCode::NOT_FOUND) {
                    for host in voters.iter().chain(learners) {
                        self.add(server, *host, "learner").await;
                    }
                }
                status == Some(StatusCode::OK)
            }
            Fault::Member { host, order } => self.about_one(server, *host, *order).await,
            _ => true,
        }
    }

    /// Has this done with one member; says whether there was something to do and it is done.
    async fn about_one(&self, server: Host, host: Host, order: Order) -> bool {
        let id = self.id_of(host);
        let Some((mut voters, mut learners)) = self.members(server).await else { return false };
        let (votes, learns) = (voters.contains(&id), learners.contains(&id));
        let body = json!({ "ID": id.to_string() });
        let status = match order {
            Order::Remove if votes || learns => {
                self.change(server, "/raft/remove", &body, Wanted::Gone(id)).await
            }
            Order::Promote if learns => self.change(server, "/raft/promote", &body, Wanted::Voter(id)).await,
            Order::Add if !votes && !learns => self.add(server, host, "voter").await,
            Order::Demote if votes => {
                voters.retain(|voter| *voter != id);
                learners.push(id);
                self.set_members(server, voters, learners).await
            }
            _ => None,
        };
        status == Some(StatusCode::OK)
    }

    async fn set_members(
        &self,
        server: Host,
        mut voters: Vec<NodeId>,
        mut learners: Vec<NodeId>,
    ) -> Option<StatusCode> {
        let texts = |ids: &[NodeId]| ids.iter().map(NodeId::to_string).collect::<Vec<_>>();
        let body = json!({ "voters": texts(&voters), "learners": texts(&learners) });
        voters.sort_unstable();
        learners.sort_unstable();
        self.change(server, "/raft/members", &body, Wanted::Members { voters, learners }).await
    }

    /// The ids of voters and learners, as a server says they are.
    async fn members(&self, server: Host) -> Option<(Vec<NodeId>, Vec<NodeId>)> {
        let request = Request::get(format!("/raft/members?timeout={PATIENCE_MS}ms"));
        let answer = self.ask(server, request, Bytes::new()).await?;
        let answer: Value = serde_json::from_slice(answer.body()).ok()?;
        let of_role = |role: &str| {
            let all = answer["members"].as_array().into_iter().flatten();
            let ids = all.filter(|member| member["role"] == role).filter_map(|member| member["id"].as_str());
            ids.filter_map(|id| parse_id(id).ok().map(NodeId)).collect()
        };
        answer["members"].is_array().then(|| (of_role("voter"), of_role("learner")))
    }

    /// The id of the server that this host has now.
    fn id_of(&self, host: Host) -> NodeId {
        node_id(self.stack.stage().world.server(host))
    }

    /// Makes all of the healed core voters again, for as long as it takes.
    pub(super) async fn restore_members(self) {
        loop {
            for server in self.stack.plan.hosts() {
                if !self.leads(server).await {
                    continue;
                }
                for host in self.stack.plan.cluster.core.clone() {
                    self.add(server, host, "voter").await;
                    let id = self.id_of(host);
                    let body = json!({ "ID": id.to_string() });
                    self.change(server, "/raft/promote", &body, Wanted::Voter(id)).await;
                }
            }
            self.pause().await;
        }
    }

    /// Whether a server says that it leads; one that was removed could not pass anything on.
    async fn leads(&self, server: Host) -> bool {
        let status = self.ask(server, Request::get("/raft/status"), Bytes::new()).await;
        let status = status.and_then(|answer| serde_json::from_slice::<Value>(answer.body()).ok());
        status.is_some_and(|status| status["role"] == "leader")
    }

    async fn add(&self, server: Host, host: Host, role: &str) -> Option<StatusCode> {
        let peers = format!("{}:{RAFT_PORT}", address(host));
        let id = self.id_of(host);
        let mut body = json!({ "ID": id.to_string(), "Address": peers });
        if role == "learner" {
            body["Role"] = json!(role);
        }
        self.change(server, "/raft/add", &body, Wanted::Member(id)).await
    }

    /// Has the members changed; the judge hears of the order, and of success.
    async fn change(&self, server: Host, path: &str, body: &Value, wanted: Wanted) -> Option<StatusCode> {
        let number = self.stack.stage().world.orders(self.stack.clock.now(), wanted);
        let status = self.post(server, path, body).await;
        if status == Some(StatusCode::OK) {
            self.stack.observe(Observation::Told { number });
        }
        status
    }

    async fn pause(&self) {
        self.stack.clock.sleep_until(self.stack.clock.now() + PAUSE).await;
    }

    /// The status of the answer, when there is one in time.
    async fn post(&self, server: Host, path: &str, body: &Value) -> Option<StatusCode> {
        let request = Request::post(format!("{path}?timeout={PATIENCE_MS}ms"));
        Some(self.ask(server, request, Bytes::from(body.to_string())).await?.status())
    }

    async fn ask(&self, server: Host, request: Builder, body: Bytes) -> Option<Response<Bytes>> {
        let at = format!("{}:{HTTP_PORT}", address(server));
        let request = request.header(HOST, &at).body(Full::new(body));
        let request = request.expect("a plain path and headers make a request");
        let patience = self.stack.clock.now() + Duration::from_millis(PATIENCE_MS * 2);
        match race(exchange(&self.net, &at, request), self.stack.clock.sleep_until(patience)).await {
            Either::Left(Exchange::Answered(response)) => Some(response),
            _ => None,
        }
    }
}
