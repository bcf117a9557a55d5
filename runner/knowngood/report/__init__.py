"""Results to people and machines: console, HTML, JUnit, JSON, the handover page. Folds of the journal's records."""
