"""What Locust's users do: post one constant event, again and again (run by Locust itself)."""

# mypy: ignore-errors

import os

from locust import FastHttpUser, constant, task


class Poster(FastHttpUser):
    wait_time = constant(0)
    body = os.environ["BENCH_BODY"]
    headers = {"content-type": "application/cloudevents+json; charset=utf-8"}  # noqa: RUF012

    @task
    def post(self) -> None:
        self.client.post("/", data=self.body, headers=self.headers)
