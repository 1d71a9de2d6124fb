//! One end of a connection, as hyper and the peer links use it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::connection::Side;
use super::stage::{FullStack, Stage};

/// One end of a connection. Dropping it closes it, in both directions.
pub(super) struct SimStream {
    stack: FullStack,
    connection: u64,
    side: Side,
}

impl SimStream {
    pub(super) fn new(stack: FullStack, connection: u64, side: Side) -> Self {
        SimStream { stack, connection, side }
    }
}

impl fmt::Debug for SimStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "end {} of connection {}", self.side, self.connection)
    }
}

impl Read for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Stage { world, wires, .. } = &mut *self.stack.stage();
        let (connection, random) = wires.connection(self.connection);
        connection.poll_read((world, &self.stack.clock, random), self.side, context, buffer)
    }
}

impl Write for SimStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Stage { world, wires, .. } = &mut *self.stack.stage();
        let (connection, random) = wires.connection(self.connection);
        connection.poll_write((world, &self.stack.clock, random), self.side, context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stage { world, wires, .. } = &mut *self.stack.stage();
        wires.connection(self.connection).0.finish(world, &self.stack.clock, self.side);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let Stage { world, wires, .. } = &mut *self.stack.stage();
        wires.close(world, &self.stack.clock, self.connection, self.side);
    }
}
