"""fastapi-users with its database strategy, and its own routes to sign up, in and out and to change the password.

It has no refresh tokens; what it says to signing out is compared all the same.
"""

import os
import uuid

from fastapi_users import FastAPIUsers
from fastapi_users.schemas import BaseUser, BaseUserCreate, BaseUserUpdate

# Before the module below reads it.
os.environ["WAY"] = "database"

from with_fastapi_users import User, app, backend, manager


class Shown(BaseUser[uuid.UUID]):
    pass


users = FastAPIUsers[User, uuid.UUID](manager, [backend])
app.include_router(users.get_auth_router(backend))
app.include_router(users.get_register_router(Shown, BaseUserCreate))
app.include_router(users.get_users_router(Shown, BaseUserUpdate), prefix="/users")
