"""The five steps of `benchmarks.journeys` as Locust's users do them (run by Locust itself)."""

# mypy: ignore-errors

import random

from locust import FastHttpUser, constant, task


class Shopper(FastHttpUser):
    wait_time = constant(0)

    @task
    def order(self) -> None:
        quantity = random.randint(1, 3)
        order = self.client.post("/orders", json={"quantity": quantity}).json()["id"]
        self.client.get(f"/orders/{order}", name="/orders/ID")
        self.client.post("/payments", json={"order_id": order, "amount": 9.5})
        self.client.put(f"/orders/{order}/ship", json={"carrier": "post"}, name="/orders/ID/ship")
        self.client.get(f"/orders/{order}/history", name="/orders/ID/history")
