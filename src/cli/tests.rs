//! Tests of the terminal.
