"""A store in Valkey or Redis, shared by all hosts of a fleet. Nothing else knows the library.

- `target`: where it is, as ``[store] url`` says · `opening`: from there to a store
- `store`: the contract of `state.base` over it · `records`: single ones, where they are
- `writing`: behind, and merged where it comes late · `unwritten`: what waits for that
- `changes`: what is told to who watches · `subscription`: what the server tells
- `frames`: names and octets in the server · `scripts`: what is decided there
- `session`: staying in touch · `breaker`: whether it is worth asking now · `refusals`: what a server's errors mean
- `lowest`: many keys in order
- `links`: which server · `cluster`: which of several · `wires`: one server
- `pipeline`: many commands at once over one connection · `connection`: making one, the border to the library
- `replies`: what a server says, read within bounds · `tasks`: what goes on as long as the store does
"""
