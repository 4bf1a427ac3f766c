"""What is measured: each module holds scenarios, each scenario fills one row of the table or more."""
