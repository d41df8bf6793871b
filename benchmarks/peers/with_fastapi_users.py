"""fastapi-users, as its documentation has it on SQLAlchemy: its JWT strategy, or its database strategy.

On SQLite, unless DATABASE names a PostgreSQL.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from credential import WAY, hand_over
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.authentication.strategy.db import AccessTokenDatabase, DatabaseStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from fastapi_users.schemas import BaseUserCreate
from fastapi_users_db_sqlalchemy.access_token import SQLAlchemyAccessTokenDatabase, SQLAlchemyBaseAccessTokenTableUUID
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "the secret of a peer in benchmarks, thirty-two bytes long"
HOUR = 3600


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class AccessToken(SQLAlchemyBaseAccessTokenTableUUID, Base):
    pass


DATABASE = os.environ.get("DATABASE", "sqlite+aiosqlite:///users.db")
engine = create_async_engine(DATABASE.replace("postgresql:", "postgresql+psycopg:"))
new_session = async_sessionmaker(engine, expire_on_commit=False)


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def a_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


async def users(session: Annotated[AsyncSession, Depends(a_session)]) -> AsyncIterator[SQLAlchemyUserDatabase]:
    yield SQLAlchemyUserDatabase(session, User)


async def tokens(session: Annotated[AsyncSession, Depends(a_session)]) -> AsyncIterator[SQLAlchemyAccessTokenDatabase]:
    yield SQLAlchemyAccessTokenDatabase(session, AccessToken)


async def manager(found: Annotated[SQLAlchemyUserDatabase, Depends(users)]) -> AsyncIterator[UserManager]:
    yield UserManager(found)


def by_jwt() -> JWTStrategy:
    return JWTStrategy(secret=SECRET, lifetime_seconds=HOUR)


def by_database(found: Annotated[AccessTokenDatabase, Depends(tokens)]) -> DatabaseStrategy:
    return DatabaseStrategy(found, lifetime_seconds=HOUR)


backend = AuthenticationBackend(
    name=WAY, transport=BearerTransport(tokenUrl="login"), get_strategy=by_jwt if WAY == "jwt" else by_database
)
peer = FastAPIUsers[User, uuid.UUID](manager, [backend])
signed_in = peer.current_user(active=True)


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with new_session() as session:
        made = UserManager(SQLAlchemyUserDatabase(session, User))
        user = await made.create(BaseUserCreate(email="ada@example.com", password="seven green kettles"))
        strategy = by_jwt() if WAY == "jwt" else by_database(SQLAlchemyAccessTokenDatabase(session, AccessToken))
        hand_over("Authorization: Bearer " + await strategy.write_token(user))
    yield


app = FastAPI(lifespan=lifespan)
app.include_router(peer.get_auth_router(backend))


@app.get("/")
async def home() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/me")
async def me(user: Annotated[User, Depends(signed_in)]) -> dict[str, str]:
    return {"account": str(user.id), "session": ""}
