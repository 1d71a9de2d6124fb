//! Black-box tests of Quorate: real processes, files, documents and style.
