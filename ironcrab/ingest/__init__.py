"""Pure: feed update in, MarketEvents out."""
