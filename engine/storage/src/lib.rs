//! Write-ahead log, term and vote, checkpoints and recovery of Quorate.
