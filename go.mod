module alforja

go 1.26
