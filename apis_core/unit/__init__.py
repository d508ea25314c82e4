"""One unit at work: user, mediator, controller."""
