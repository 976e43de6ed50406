rtplanname = "DAILY_QA"
