"""What is traded and how it clears: ledger, order book, perpetual and spot, prices, the state machine."""
