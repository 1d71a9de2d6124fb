//! A client for Quorate over HTTP.
