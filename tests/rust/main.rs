//! Tests of the engine; the modules mirror `rust/`, the slow oracles stand in `oracle/`.
