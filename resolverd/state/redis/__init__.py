"""A store in Valkey or Redis, shared by all hosts of a fleet. Nothing else knows the library.

- `target`: where it is, as ``[store] url`` says · `opening`: from there to a store
- `store`: the contract of `state.base` over it · `breaker`: whether it is worth asking now
"""
