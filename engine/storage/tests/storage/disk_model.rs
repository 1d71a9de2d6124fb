//! The promises of a disk as a slow model that is plainly right: it keeps every operation with its times, and at a
//! crash lists all that may be left.

use std::collections::{BTreeMap, BTreeSet};

use quorate_raft::Time;

const SECTOR: usize = 512;

/// What readers see: the content of every file, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View(pub(crate) BTreeMap<String, Vec<u8>>);

/// Names a file's content in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct File(usize);

/// The names of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Names(BTreeMap<String, File>);

/// What an operation does, to whatever its paths name then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Write { path: String, offset: usize, bytes: Vec<u8> },
    Sync { path: String, failed: bool },
    Create { path: String },
    Rename { from: String, to: String },
    Remove { path: String },
    SyncDirectory { directory: String, failed: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Timed {
    start: Time,
    end: Time,
    event: Event,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Parts of writes, no part in more than one sector, in order.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Directory {
    live: Names,
    durable: Names,
    pending: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Link(String, File),
    Rename(String, String),
    Remove(String),
}

/// A disk at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Image {
    files: Vec<Content>,
    directories: BTreeMap<String, Directory>,
}

/// A disk, and all that was done with it since its last crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct World {
    base: Image,
    events: Vec<Timed>,
}

/// All disks that fit what has been seen. More than one only after a kill, if files look the same.
pub(crate) struct Model {
    worlds: Vec<World>,
}

/// What a crash or a kill can have lost, at most; and how many operations it undid, at least and at most.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) sectors: u64,
    pub(crate) names: u64,
    pub(crate) undone: std::ops::RangeInclusive<u64>,
}

fn put(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    image.resize(image.len().max(offset + bytes.len()), 0);
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// The parts of a write that lie in different sectors.
fn parts(offset: usize, bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut parts: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, byte) in (offset..).zip(bytes) {
        match parts.last_mut() {
            Some((_, part)) if at % SECTOR != 0 => part.push(*byte),
            _ => parts.push((at, vec![*byte])),
        }
    }
    parts
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Change::Link(name, file) => {
                names.0.insert(name.clone(), *file);
            }
            Change::Rename(from, to) => {
                if let Some(file) = names.0.remove(from) {
                    names.0.insert(to.clone(), file);
                }
            }
            Change::Remove(name) => {
                names.0.remove(name);
            }
        }
    }
}

impl Content {
    /// Whether a crash may leave this: each sector holds what was durable with some of the later writes over it.
    fn may_become(&self, found: &[u8]) -> bool {
        let ends = self.pending.iter().map(|(offset, bytes)| offset + bytes.len());
        let grown = ends.filter(|end| *end > self.durable.len()).any(|end| end == found.len());
        let sectors = found.len().max(self.durable.len()).div_ceil(SECTOR);
        (grown || found.len() == self.durable.len())
            && (0..sectors).all(|sector| self.sector_may_become(sector, found))
    }

    fn sector_may_become(&self, sector: usize, found: &[u8]) -> bool {
        let within = |image: &[u8]| {
            let part = image.iter().skip(sector * SECTOR).take(SECTOR);
            part.copied().chain(std::iter::repeat(0)).take(SECTOR).collect::<Vec<u8>>()
        };
        let mut possible = BTreeSet::from([within(&self.durable)]);
        for (offset, bytes) in self.pending.iter().filter(|(offset, _)| offset / SECTOR == sector) {
            let written = possible.iter().map(|image| {
                let mut image = image.clone();
                put(&mut image, offset % SECTOR, bytes);
                image
            });
            possible = written.chain(possible.clone()).collect();
        }
        possible.contains(&within(found))
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Every set of names that a crash may leave.
    fn possible(&self) -> BTreeSet<Names> {
        let mut possible = BTreeSet::from([self.durable.clone()]);
        for change in &self.pending {
            let changed = possible.iter().map(|names| {
                let mut names = names.clone();
                change.apply(&mut names);
                names
            });
            possible = changed.chain(possible.clone()).collect();
        }
        possible
    }
}

fn split(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap()
}

impl Image {
    fn directory(&mut self, path: &str) -> &mut Directory {
        self.directories.entry(path.to_owned()).or_default()
    }

    fn file(&self, path: &str) -> File {
        let (directory, name) = split(path);
        self.directories[directory].live.0[name]
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Write { path, offset, bytes } => {
                let File(file) = self.file(path);
                put(&mut self.files[file].live, *offset, bytes);
                self.files[file].pending.extend(parts(*offset, bytes));
            }
            Event::Sync { path, failed } => {
                let File(file) = self.file(path);
                let content = &mut self.files[file];
                for (offset, bytes) in std::mem::take(&mut content.pending) {
                    if !failed {
                        put(&mut content.durable, offset, &bytes);
                    }
                }
            }
            Event::Create { path } => {
                let (directory, name) = split(path);
                let file = File(self.files.len());
                self.files.push(Content::default());
                self.directory(directory).change(Change::Link(name.to_owned(), file));
            }
            Event::Rename { from, to } => {
                let ((directory, from), (_, to)) = (split(from), split(to));
                self.directory(directory).change(Change::Rename(from.to_owned(), to.to_owned()));
            }
            Event::Remove { path } => {
                let (directory, name) = split(path);
                self.directory(directory).change(Change::Remove(name.to_owned()));
            }
            Event::SyncDirectory { directory, failed } => {
                let directory = self.directory(directory);
                for change in std::mem::take(&mut directory.pending) {
                    if !failed {
                        change.apply(&mut directory.durable);
                    }
                }
            }
        }
    }

    fn view(&self) -> View {
        let names = self.directories.iter().flat_map(|(directory, names)| {
            names.live.0.iter().map(move |(name, file)| (format!("{directory}/{name}"), *file))
        });
        View(names.map(|(path, File(file))| (path, self.files[file].live.clone())).collect())
    }

    /// Whether a crash may leave this.
    fn may_become(&self, found: &View) -> bool {
        self.directories.iter().all(|(directory, names)| {
            let prefix = format!("{directory}/");
            let found =
                found.0.iter().filter_map(|(path, content)| Some((path.strip_prefix(&prefix)?, content)));
            let found: BTreeMap<&str, &Vec<u8>> = found.collect();
            names.possible().iter().any(|names| {
                let explained = |(name, File(file)): (&String, &File)| {
                    found.get(name.as_str()).is_some_and(|content| self.files[*file].may_become(content))
                };
                names.0.len() == found.len() && names.0.iter().all(explained)
            })
        })
    }

    /// The disk on which this, and nothing else, is durable.
    fn durable(view: &View) -> Image {
        let mut image = Image::default();
        for (path, content) in &view.0 {
            let (directory, name) = split(path);
            let file = File(image.files.len());
            image.files.push(Content {
                live: content.clone(),
                durable: content.clone(),
                pending: Vec::new(),
            });
            let directory = image.directory(directory);
            directory.live.0.insert(name.to_owned(), file);
            directory.durable.0.insert(name.to_owned(), file);
        }
        image
    }
}

impl World {
    fn now(&self) -> Image {
        let mut image = self.base.clone();
        self.events.iter().for_each(|timed| image.apply(&timed.event));
        image
    }

    /// The disk after all that ended by `at`, what was in progress then, and how many came after.
    fn at(&self, at: Time) -> (Image, Option<&Event>, u64) {
        let mut image = self.base.clone();
        let mut rest = self.events.iter().peekable();
        while let Some(timed) = rest.next_if(|timed| timed.end <= at) {
            image.apply(&timed.event);
        }
        let begun = rest.next_if(|timed| timed.start < at).map(|timed| &timed.event);
        (image, begun, rest.count() as u64)
    }

    /// What of an operation in progress may be seen when its process dies.
    fn partly(begun: Option<&Event>) -> Vec<Option<Event>> {
        match begun {
            Some(Event::Write { path, offset, bytes }) => {
                let ends = parts(*offset, bytes).into_iter().map(|(start, part)| start + part.len() - offset);
                let part = |end: usize| Event::Write {
                    path: path.clone(),
                    offset: *offset,
                    bytes: bytes[..end].to_vec(),
                };
                [None].into_iter().chain(ends.map(|end| Some(part(end)))).collect()
            }
            Some(Event::Sync { .. } | Event::SyncDirectory { .. }) | None => vec![None],
            Some(event) => vec![None, Some(event.clone())],
        }
    }

    fn rot(&mut self, path: &str, range: &std::ops::Range<usize>, change: &impl Fn(usize, &mut u8)) {
        let rot = |offset: usize, bytes: &mut Vec<u8>| {
            let places = (offset..).zip(bytes.iter_mut()).filter(|(at, _)| range.contains(at));
            places.for_each(|(at, byte)| change(at, byte));
        };
        let rotten = self.now().file(path);
        let mut image = self.base.clone();
        for timed in &mut self.events {
            let before = image.clone();
            image.apply(&timed.event);
            if let Event::Write { path, offset, bytes } = &mut timed.event
                && before.file(path) == rotten
            {
                rot(*offset, bytes);
            }
        }
        if let Some(content) = self.base.files.get_mut(rotten.0) {
            rot(0, &mut content.live);
            rot(0, &mut content.durable);
            content.pending.iter_mut().for_each(|(offset, bytes)| rot(*offset, bytes));
        }
    }
}

impl Model {
    pub(crate) fn new() -> Model {
        Model { worlds: vec![World::default()] }
    }

    /// What readers must see now.
    pub(crate) fn view(&self) -> View {
        self.worlds[0].now().view()
    }

    pub(crate) fn note(&mut self, start: Time, end: Time, event: &Event) {
        for world in &mut self.worlds {
            world.events.push(Timed { start, end, event: event.clone() });
        }
    }

    pub(crate) fn rot(
        &mut self,
        path: &str,
        range: &std::ops::Range<usize>,
        change: impl Fn(usize, &mut u8),
    ) {
        self.worlds.iter_mut().for_each(|world| world.rot(path, range, &change));
    }

    /// Judges what was found after the power had gone at `at`.
    pub(crate) fn crash(&mut self, at: Time, found: &View) -> Result<Loss, String> {
        let mut loss = None;
        for world in &self.worlds {
            let (mut image, begun, later) = world.at(at);
            let undone = match begun {
                Some(Event::Sync { .. } | Event::SyncDirectory { .. }) => later + 1,
                Some(event) => {
                    image.apply(event);
                    later
                }
                None => later,
            };
            if image.may_become(found) {
                let sectors = image.files.iter().map(|content| content.pending.len() as u64).sum();
                let names = image.directories.values().map(|directory| directory.pending.len() as u64).sum();
                loss = Some(Loss { sectors, names, undone: undone..=undone });
            }
        }
        self.worlds = vec![World { base: Image::durable(found), events: Vec::new() }];
        loss.ok_or_else(|| format!("no crash at {at} leaves {found:?}"))
    }

    /// Judges what was found after the process had died at `at`.
    pub(crate) fn kill(&mut self, at: Time, found: &View) -> Result<Loss, String> {
        let (_, begun, later) = self.worlds[0].at(at);
        let undone = match begun {
            None | Some(Event::Write { .. }) => later..=later,
            Some(Event::Sync { .. } | Event::SyncDirectory { .. }) => later + 1..=later + 1,
            Some(_) => later..=later + 1,
        };
        let mut worlds = Vec::new();
        for world in &self.worlds {
            let (image, begun, _) = world.at(at);
            for event in World::partly(begun) {
                let mut base = image.clone();
                event.iter().for_each(|event| base.apply(event));
                let world = World { base, events: Vec::new() };
                if world.base.view() == *found && !worlds.contains(&world) {
                    worlds.push(world);
                }
            }
        }
        if worlds.is_empty() {
            return Err(format!("no kill at {at} leaves {found:?}"));
        }
        self.worlds = worlds;
        Ok(Loss { sectors: 0, names: 0, undone })
    }
}
