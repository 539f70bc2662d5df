"""Operations, in forms that suit batches of candidates."""
