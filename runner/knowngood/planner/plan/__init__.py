"""What an upgrade would do: hops in order with their reasons and undo classes, or every reason why there is no plan."""
