cbct_roll = cbct["catphan_roll_deg"] if cbct else None
