//! What a lying relay, a thief or a stranger can try.
