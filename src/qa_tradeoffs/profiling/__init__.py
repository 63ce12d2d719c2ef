"""The clock, workloads, latency, scenarios, memory and operators; the variants of SqueezeBERT."""
