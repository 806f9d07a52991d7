-- How finely the moments of a session are kept: 0 all, 1 one a second, 2 one a minute, 3 its end, 4 only what somebody named or
-- restored. Rows that are folded say themselves whether the state after them is kept.
ALTER TABLE sessions ADD COLUMN grain INTEGER NOT NULL DEFAULT 0;
