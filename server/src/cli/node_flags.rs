//! The flags of a node, made from the table of settings.

use crate::cli::exit::Failure;
use crate::config::{Flags, Resolved, SETTINGS, Shape, Surroundings, resolve};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::net::{IpAddr, UdpSocket};

/// What the flags say; the values are read by `crate::config`, which can then name the place of a bad one.
#[derive(Clone, Debug)]
pub(crate) struct NodeFlags {
    flags: Flags,
}

impl NodeFlags {
    /// The configuration of flags, environment, file and defaults.
    pub(crate) fn resolve(&self) -> Result<Resolved, Failure> {
        let variable = |name: &str| std::env::var_os(name);
        let surroundings = Surroundings { variable: &variable, own_address: &own_address };
        Ok(resolve(&self.flags, &surroundings)?)
    }
}

impl Args for NodeFlags {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE");
        let config = config.help("A TOML file with any of these settings").help_heading("Settings");
        let settings = SETTINGS.iter().map(|setting| {
            let arg = Arg::new(setting.name).long(setting.name).help(setting.help).help_heading("Settings");
            match setting.shape {
                Shape::Single => arg.value_name(setting.placeholder),
                Shape::List => arg.value_name(setting.placeholder).action(ArgAction::Append),
                Shape::Switch => arg.action(ArgAction::SetTrue),
            }
        });
        command.args(settings).arg(config)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for NodeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags =
            Flags { config_file: matches.get_one::<String>("config").cloned(), ..Flags::default() };
        for setting in SETTINGS {
            let values: Vec<String> = match setting.shape {
                Shape::Switch if matches.get_flag(setting.name) => vec!["true".to_owned()],
                Shape::Switch => Vec::new(),
                Shape::Single | Shape::List => {
                    matches.get_many::<String>(setting.name).into_iter().flatten().cloned().collect()
                }
            };
            if !values.is_empty() {
                flags.values.insert(setting.name.to_owned(), values);
            }
        }
        Ok(Self { flags })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The address from which this machine would dial others. Connecting a UDP socket sends nothing; it only asks the
/// routing table. 192.0.2.1 is reserved for documentation (RFC 5737), so it stands for "elsewhere".
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).ok()?;
    socket.connect(("192.0.2.1", 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
