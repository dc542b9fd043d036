//! Did the same thing happen again, and if not, why?
