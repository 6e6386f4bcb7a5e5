"""Reads a cloud's notifications as telemetry does, with oslo.messaging.

Usage: listen.py URL. Prints "ready", then each notification as a line of JSON,
until standard input ends.
"""
import json
import sys
import threading

import oslo_messaging
from oslo_config import cfg

EXCHANGES = ["nova", "cinder", "neutron", "glance", "keystone"]
lock = threading.Lock()


def say(text):
    with lock:
        print(text, flush=True)


class Endpoint:
    def __init__(self, topic):
        self.topic = topic

    def told(self, priority, context, publisher_id, event_type, payload, metadata):
        say(json.dumps({
            "topic": self.topic, "priority": priority, "publisher": publisher_id, "type": event_type,
            "payload": payload, "message_id": metadata["message_id"], "timestamp": metadata["timestamp"],
            "user": context.get("user_id"), "project": context.get("project_id"), "request": context.get("request_id"),
        }))

    def info(self, *args):
        self.told("info", *args)

    def error(self, *args):
        self.told("error", *args)


conf = cfg.ConfigOpts()
conf([])
url = sys.argv[1]
transport = oslo_messaging.get_notification_transport(conf, url=url)
conf.set_override("rabbit_quorum_queue", True, group="oslo_messaging_rabbit")
listeners = []
for topic in ("notifications", "versioned_notifications"):
    targets = [oslo_messaging.Target(topic=topic, exchange=exchange) for exchange in EXCHANGES]
    listener = oslo_messaging.get_notification_listener(transport, targets, [Endpoint(topic)], executor="threading")
    listener.start(override_pool_size=1)  # several threads would mix up the order
    listeners.append(listener)
say("ready")
sys.stdin.read()
for listener in listeners:
    listener.stop()
    listener.wait()
