//! The commands about who belongs to the cluster, and who leads it.

use crate::cli::arguments::{
    AddCommand, ClientFlags, MemberCommand, MembersAction, MembersCommand, SetMembersCommand, TransferCommand,
};
use crate::cli::client::call;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, Table};
use crate::tokens::read_join_file;
use quorate_client::{Member, Members, NewMember};
use quorate_node::raft::NodeId;

pub(crate) fn members(command: MembersCommand) -> Result<(), Failure> {
    if let Some(MembersAction::Set(command)) = command.action {
        return set(&command);
    }
    let members = call(&command.client, async |client| client.members().await)?;
    match command.output.output {
        Output::Json => output::json(&members),
        Output::Table => members_table(&members).print(),
    }
}

fn members_table(members: &Members) -> Table<6> {
    let mut table = Table::new(["ID", "NAME", "ADDRESS", "URL", "ROLE", "LEADER"]);
    for member in &members.members {
        table.row([
            member.id.clone(),
            member.name.clone().unwrap_or_default(),
            member.address.clone(),
            member.url.clone().unwrap_or_default(),
            role(member, members),
            if member.leader { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

/// The role, and during a change of the voters what becomes of it: one word, so that columns stay columns.
fn role(member: &Member, members: &Members) -> String {
    let Some(joint) = &members.joint else { return member.role.clone() };
    let change = match (joint.outgoing.contains(&member.id), joint.incoming.contains(&member.id)) {
        (true, false) => ",leaving",
        (false, true) => ",coming",
        _ => "",
    };
    format!("{}{change}", member.role)
}

fn set(command: &SetMembersCommand) -> Result<(), Failure> {
    let names: Vec<&str> = command.voters.iter().chain(&command.learners).map(String::as_str).collect();
    let mut voters = ids(&command.client, &names)?;
    let learners = voters.split_off(command.voters.len());
    call(&command.client, async |client| client.set_members(&voters, &learners).await)
}

pub(crate) fn add(command: AddCommand) -> Result<(), Failure> {
    let AddCommand { id, address, learner, wait, join_token_file, client } = command;
    let token = join_token_file.as_deref().map(read_join_file).transpose();
    let token = token.map_err(|problem| Failure::Ended(Exit::BadConfiguration, problem.to_string()))?;
    let join_token = token.map(|token| token.header());
    let member = NewMember { id, address, learner, wait_for_voter: wait, join_token };
    call(&client, async |client| client.add(&member).await)
}

pub(crate) fn remove(command: &MemberCommand) -> Result<(), Failure> {
    let id = id(&command.client, &command.id)?;
    call(&command.client, async |client| client.remove(&id).await)
}

pub(crate) fn promote(command: &MemberCommand) -> Result<(), Failure> {
    let id = id(&command.client, &command.id)?;
    call(&command.client, async |client| client.promote(&id).await)
}

pub(crate) fn transfer(command: &TransferCommand) -> Result<(), Failure> {
    let to = command.id.as_deref().map(|name| id(&command.client, name)).transpose()?;
    call(&command.client, async |client| client.transfer(to.as_deref()).await)
}

fn id(flags: &ClientFlags, name: &str) -> Result<String, Failure> {
    Ok(ids(flags, &[name])?.remove(0))
}

/// The ids of members that are given by id or by name, in the same order. The cluster is asked only when names occur.
fn ids(flags: &ClientFlags, given: &[&str]) -> Result<Vec<String>, Failure> {
    if given.iter().all(|text| is_id(text)) {
        return Ok(given.iter().map(|&id| id.to_owned()).collect());
    }
    let members = call(flags, async |client| client.members().await)?;
    given.iter().map(|text| id_of(text, &members)).collect()
}

fn is_id(text: &str) -> bool {
    text.parse::<NodeId>().is_ok()
}

fn id_of(given: &str, members: &Members) -> Result<String, Failure> {
    if is_id(given) {
        return Ok(given.to_owned());
    }
    let named: Vec<&str> = members
        .members
        .iter()
        .filter(|member| member.name.as_deref() == Some(given))
        .map(|member| member.id.as_str())
        .collect();
    match named[..] {
        [id] => Ok(id.to_owned()),
        [] => {
            let message =
                format!("{given:?} is neither an id nor the name of a member: see `quorate members`");
            Err(Failure::Ended(Exit::NotFound, message))
        }
        _ => {
            let ids = named.join(", ");
            Err(Failure::usage(format!("several members are named {given:?}: give one of the ids {ids}")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use quorate_client::Transition;

    fn member(id: u128, name: &str) -> Member {
        Member {
            id: NodeId(id).to_string(),
            name: Some(name.to_owned()),
            address: format!("h:{id}"),
            url: None,
            role: "voter".to_owned(),
            leader: id == 1,
        }
    }

    fn members() -> Members {
        let members = vec![member(1, "one"), member(2, "twin"), member(3, "twin")];
        Members { cluster: "c".to_owned(), index: 7, members, joint: None }
    }

    #[test]
    fn a_name_stands_for_an_id_when_only_one_has_it() {
        let members = members();
        assert_eq!(id_of("one", &members).unwrap(), NodeId(1).to_string());
        let id = NodeId(9).to_string();
        assert_eq!(id_of(&id, &members).unwrap(), id, "an id is for the server to judge");
        let Err(Failure::Ended(exit, message)) = id_of("nobody", &members) else { panic!() };
        assert!(exit == Exit::NotFound && message.contains("\"nobody\""), "{message}");
        let Err(Failure::Ended(exit, message)) = id_of("twin", &members) else { panic!() };
        assert!(exit == Exit::Usage && message.contains(&NodeId(3).to_string()), "{message}");
    }

    #[test]
    fn a_change_of_the_voters_shows() {
        let mut members = members();
        assert_eq!(role(&members.members[0], &members), "voter");
        let ids = |ids: &[u128]| ids.iter().map(|id| NodeId(*id).to_string()).collect();
        members.joint = Some(Transition { incoming: ids(&[2, 3]), outgoing: ids(&[1, 2]) });
        let roles: Vec<_> = members.members.iter().map(|member| role(member, &members)).collect();
        assert_eq!(roles, ["voter,leaving", "voter", "voter,coming"]);
        assert!(members_table(&members).text().contains("voter,leaving"));
    }
}
