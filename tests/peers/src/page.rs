//! The page: tables in Markdown.

use crate::engines::BATCHES;
use crate::goals;
use crate::keys::{KEY_BYTES, KEYS, PAYLOAD_BYTES, VALUE_BYTES};
use crate::results::{All, Checkpoints, Comparison, Conditions, Engines, Growth, Operation, Sample, System};

/// The longest line of prose.
const WIDTH: usize = 120;

const INTRODUCTION: &str = "\
# Benchmarks

`tests/peers/run --write` has measured all of this, and written this page: the tables and the plots are not edited by
hand. Only ratios of one run carry over to another machine, and these to within some 15 %: all nodes and the load share
the machine's processors.

";

/// The whole page.
pub(crate) fn text(all: &All) -> String {
    let mut text = INTRODUCTION.to_owned();
    text += &goals_table(all);
    if let Some(comparison) = &all.comparison {
        text += &compared(comparison);
    }
    if let Some(engines) = &all.engines {
        text += &alone(engines);
    }
    if let Some(growth) = &all.growth {
        text += &growing(growth);
    }
    wrapped(&text)
}

/// The same with lines of prose that are not too long; tables and plots stay as they are.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut column = 0;
        let is_prose = !line.starts_with(['|', '!', '#']);
        for (place, word) in line.split(' ').enumerate() {
            let width = word.chars().count();
            if place > 0 {
                let is_full = is_prose && column + 1 + width > WIDTH;
                out.push(if is_full { '\n' } else { ' ' });
                column = if is_full { 0 } else { column + 1 };
            }
            out += word;
            column += width;
        }
        out.push('\n');
    }
    out.trim_end().to_owned() + "\n"
}

fn goals_table(all: &All) -> String {
    let mut text =
        "## Goals\n\nA \"must\" is the least; a \"goal\" is what is aimed at. Each ratio is of one run.\n\n"
            .to_owned();
    text += "| what | must | goal | measured | reached |\n|---|---|---|---|---|\n";
    for goal in goals::of(all) {
        let unit = goal.unit;
        let measured = goal.measured.map_or("—".to_owned(), |value| format!("{}{unit}", short(value)));
        let (must, target) = (short(goal.must), short(goal.goal));
        let verdict = goal.verdict();
        text += &format!("| {} | {must}{unit} | {target}{unit} | {measured} | {verdict} |\n", goal.what);
    }
    text + "\n"
}

fn conditions_table(conditions: &Conditions) -> String {
    let Conditions { machine, kernel, file_system, load_before, quorate, etcd, wrk, command, day } =
        conditions;
    let rows = [
        ("command", &format!("`{command}`")),
        ("day", day),
        ("machine", machine),
        ("kernel", kernel),
        ("disk, file system", file_system),
        ("load before", load_before),
        ("Quorate", quorate),
        ("etcd", etcd),
        ("load generator", wrk),
    ];
    let rows: String = rows
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("| {name} | {value} |\n"))
        .collect();
    format!("| | |\n|---|---|\n{rows}\n")
}

fn compared(comparison: &Comparison) -> String {
    let Comparison { conditions, rounds, seconds, .. } = comparison;
    let mut text = format!(
        "## Clusters side by side\n\nThree nodes of each, with default settings, on loopback and one disk, where each \
         write is synced. Values of {VALUE_BYTES} bytes, {KEYS} keys of {KEY_BYTES} bytes at random; reads are \
         linearizable. Within a round all systems take the same load for {seconds} s, one right after the other; the \
         next round goes the other way round. What is shown is the median of {rounds} rounds, and of each round's own \
         ratio. HTTP/1.1 is spoken by wrk, with one request under way on each of c connections; gRPC by a small client \
         with c requests under way, ten on a connection. Requests go to the leader, unless it says \"a follower\". Bare \
         hyper is one process with one thread that answers with bodies as large, and does nothing else.\n\n"
    );
    text += &conditions_table(conditions);
    if comparison.errors() > 0 {
        text += &format!("**{} operations failed**, and do not count.\n\n", comparison.errors());
    }
    for operation in Operation::ALL {
        text += &operation_section(comparison, operation);
    }
    text + &followers(comparison) + &disk(comparison)
}

fn operation_section(comparison: &Comparison, operation: Operation) -> String {
    let name = operation.name();
    let mut text = format!(
        "### {}s\n\n![{name}s per second against connections](benchmarks/{name}-throughput.svg)\n\n\
         | c | system | {name}/s | Quorate ÷ it | p50 ms | p90 ms | p99 ms | p99.9 ms | most ms | CPU µs |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        if operation == Operation::Put { "Put" } else { "Linearizable get" }
    );
    for connections in comparison.connections() {
        for system in System::SIDE_BY_SIDE {
            let of = (System::Quorate, system);
            text += &row(comparison, system, of, operation, connections);
        }
    }
    text + &format!(
        "\nCPU is what all processes of the system together spend on an operation, in the kernel and outside of it.\n\n\
         ![latencies of {name}s](benchmarks/{name}-latency.svg)\n\n![CPU a {name}](benchmarks/{name}-cpu.svg)\n\n"
    )
}

/// A row of a system, with the ratio of the first of two to the second.
fn row(
    comparison: &Comparison,
    system: System,
    of: (System, System),
    operation: Operation,
    connections: usize,
) -> String {
    let median = |value| comparison.median(system, operation, connections, value);
    let latency = |value| median(value).map_or("—".to_owned(), |us| short(us / 1000.0));
    let Some(rate) = median(|sample| sample.per_second) else { return String::new() };
    let cpu = median(|sample| sample.cpu_us_per_operation).unwrap_or_default();
    let rates: fn(&Sample) -> f64 = |sample| sample.per_second;
    let ratio = comparison.ratio(of, operation, connections, rates).unwrap_or_default();
    let ratio = if of.0 == of.1 { String::new() } else { format!("{ratio:.2}") };
    format!(
        "| {connections} | {} | {rate:.0} | {ratio} | {} | {} | {} | {} | {} | {cpu:.1} |\n",
        system.name(),
        latency(|sample| sample.latencies.p50_us),
        latency(|sample| sample.latencies.p90_us),
        latency(|sample| sample.latencies.p99_us),
        latency(|sample| sample.latencies.p999_us),
        latency(|sample| sample.latencies.most_us),
    )
}

fn followers(comparison: &Comparison) -> String {
    let mut text = "### Through a follower\n\n\
        | operation | c | system | per second | ÷ its leader | p50 ms | p90 ms | p99 ms | p99.9 ms | most ms | CPU µs |\n\
        |---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for operation in Operation::ALL {
        for (follower, leader) in
            [(System::QuorateFollower, System::Quorate), (System::EtcdFollower, System::Etcd)]
        {
            let at = crate::compare::FOLLOWERS_AT;
            let row = row(comparison, follower, (follower, leader), operation, at);
            if !row.is_empty() {
                text += &format!("| {} {row}", operation.name());
            }
        }
    }
    text + "\n"
}

fn disk(comparison: &Comparison) -> String {
    let mut text = format!(
        "### Disk\n\nA put brings {PAYLOAD_BYTES} bytes: key and value. Log bytes are what it takes in the log of the leader, with the \
         most connections. Disk bytes are what the system counts as written by the three nodes, so also zeros ahead of the \
         log, checkpoints, and etcd's database. It counts all of a page, or of several that it keeps as one, for a part \
         that changes: the disk sees much less.\n\n\
         | system | c | log bytes a put | disk bytes a put, three nodes |\n|---|---|---|---|\n"
    );
    for log in &comparison.logs {
        let bytes: fn(&Sample) -> f64 = |sample| sample.disk_bytes_per_operation;
        let disk = comparison.median(log.system, Operation::Put, log.connections, bytes).unwrap_or_default();
        let (name, c, bytes) = (log.system.name(), log.connections, log.bytes_per_put);
        text += &format!("| {name} | {c} | {bytes:.0} | {disk:.0} |\n");
    }
    text += "\nWhat the disk allows: blocks of 4 KiB, each written and synced (`fdatasync`) before the next.\n\n\
             | block | per second | p50 ms | p99 ms | most ms |\n|---|---|---|---|---|\n";
    for syncs in &comparison.syncs {
        let [p50, p99, most] = [syncs.latencies.p50_us, syncs.latencies.p99_us, syncs.latencies.most_us]
            .map(|us| short(us / 1000.0));
        text += &format!("| {} | {:.0} | {p50} | {p99} | {most} |\n", syncs.what, syncs.per_second);
    }
    text + "\n"
}

fn alone(engines: &Engines) -> String {
    let mut text = format!(
        "## Engines alone\n\nThree nodes in one thread, with queues for a network and memory for a disk: entries of \
         {PAYLOAD_BYTES} bytes, proposed so many at once; a turn ends when the leader has applied them, and the measuring \
         when all three nodes have applied everything. In entries per second, medians. openraft's nodes are tasks that call each other, so its loop is one of futures; the \
         runtime has one thread.\n\n"
    );
    text += &conditions_table(&engines.conditions);
    text += "![entries per second](benchmarks/engines.svg)\n\n| batch |";
    engines.names().iter().for_each(|name| text += &format!(" {name} |"));
    text += " Quorate ÷ the best other |\n|---|";
    text += &"---|".repeat(engines.names().len() + 1);
    for batch in BATCHES {
        text += &format!("\n| {batch} |");
        for name in engines.names() {
            text += &format!(" {:.0} |", engines.median(name, batch).unwrap_or_default());
        }
        text += &format!(" {:.2} |", engines.lead(batch).unwrap_or_default());
    }
    text + "\n\n"
}

fn growing(growth: &Growth) -> String {
    let mut text = format!(
        "## Growth\n\nOne node of each, {} connections, one after the other. The keys that lack are written once each, in \
         order; then keys at random are written again; then the node is killed (`kill -9`), started, and asked until a \
         linearizable read is answered. A silence is a time in which no put at all was answered. Memory is what the \
         process has more than when it was empty, so the log's tail and the history are in it.\n\n",
        crate::loader::CONNECTIONS
    );
    text += &conditions_table(&growth.conditions);
    text += "![puts per second against keys](benchmarks/growth-puts.svg)\n\n\
             ![memory a key](benchmarks/growth-memory.svg)\n\n\
             | keys | system | new keys/s | longest put ms | longest silence ms | memory a key, bytes | put/s | p99 ms | \
             restart ms |\n|---|---|---|---|---|---|---|---|---|\n";
    for sample in &growth.samples {
        let most = short(sample.load_most_ms);
        let (silence, p99) = (short(sample.load_silence_ms), short(sample.put_p99_ms));
        text += &format!(
            "| {} | {} | {:.0} | {most} | {silence} | {:.0} | {:.0} | {p99} | {:.0} |\n",
            sample.keys,
            sample.system.name(),
            sample.load_per_second,
            sample.bytes_per_key,
            sample.put_per_second,
            sample.restart_ms,
        );
    }
    text += "\nPuts of keys at random, and the same while Quorate is asked for one checkpoint after the other:\n\n\
             | keys | checkpoints | p99 ms before | p99 ms beside them | ratio |\n|---|---|---|---|---|\n";
    for Checkpoints { keys, taken, p99_before_ms, p99_during_ms } in &growth.checkpoints {
        let (before, during) = (short(*p99_before_ms), short(*p99_during_ms));
        let ratio = short(p99_during_ms / p99_before_ms);
        text += &format!("| {keys} | {taken} | {before} | {during} | {ratio} |\n");
    }
    text + "\n"
}

/// Three digits that count.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_and_tables_are_not() {
        let word = "word ".repeat(40);
        let wrapped = wrapped(&format!("# {word}\n\n{word}\n| {word} |\n"));
        let widths: Vec<usize> = wrapped.lines().map(str::len).collect();
        assert_eq!(widths, [2 + 200, 0, 119, 80, 204], "{wrapped}");
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        assert_eq!([0.0777, 1.234, 56.78, 1234.5].map(short), ["0.078", "1.23", "56.8", "1234"]);
    }
}
