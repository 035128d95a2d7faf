"""Where it happens: topology, transactions, chains and blocks, fee markets, mempool, ordering."""
