//! How the whole cluster stands, as this node sees it: told once a second to those who look on.
//!
//! `GET /raft/status` tells of one node. Whoever looks at a cluster wants all of them, also when the one that is asked
//! follows, and can reach nobody else: so this node asks the others, and says of each what it answered, or why it did
//! not. However many look on, each other node is asked once a second, and while nobody does, nobody is asked.
//!
//! | module | what it holds |
//! |---|---|
//! | `detail` | what a node says of itself for that |
//! | `look` | one look: every member asked, within a second |
//! | `rates` | what happened between two looks |
//! | `live` | one who looks for all who look on |

mod detail;
mod live;
mod look;
mod rates;

pub(crate) use detail::detail_of;
pub(crate) use live::{Onlooker, Overviews};
