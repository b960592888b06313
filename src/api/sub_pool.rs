//! The sub-pool endpoints: validate, ask the jobmaker through the actors, answer its reply.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use slog::Logger;
use switcher_actors::{
    Coinbase, CoinbaseAction, CoinbaseUpdate, ExchangeFailure, Jobmakers, SubPool,
};

use super::{
    answer::{ApiError, jobmaker_answered, log_refused},
    json::parse_texts,
};
use crate::http::{
    LoadedConfig,
    body::{self, BodyLimits},
    source,
};

/// State of the sub-pool endpoints, shared by all workers.
pub struct SubPoolApi {
    /// `None` if the API is off.
    pub jobmakers: Option<Jobmakers>,
    /// For refused requests; the actors log the exchanges.
    pub log: Logger,
}

/// `POST /subpool/get-coinbase`: the values that a sub-pool's jobmaker holds.
pub async fn get_coinbase(
    request: HttpRequest,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    api: Data<SubPoolApi>,
) -> Result<HttpResponse, ApiError> {
    api.answer(&request, payload, config.body_limits, |body| {
        let [coin, name] = parse_texts(body, ["coin", "subpool_name"])?;
        check_names(&coin, &name)?;
        Ok((sub_pool(&coin, &name)?, CoinbaseAction::Get))
    })
    .await
}

/// `POST /subpool/update-coinbase`: new values for the jobmaker.
pub async fn update_coinbase(
    request: HttpRequest,
    payload: Payload,
    LoadedConfig(config): LoadedConfig,
    api: Data<SubPoolApi>,
) -> Result<HttpResponse, ApiError> {
    let coinbase_max = config.coinbase_max;
    api.answer(&request, payload, config.body_limits, move |body| {
        let fields = ["coin", "subpool_name", "payout_addr", "coinbase_info"];
        let [coin, name, payout_addr, coinbase_info] = parse_texts(body, fields)?;
        check_names(&coin, &name)?;
        not_empty(&payout_addr, ApiError::PayoutAddressEmpty)?;
        let sub_pool = sub_pool(&coin, &name)?;
        let coinbase = Coinbase {
            coinbase_info: coinbase_info.into_owned(),
            payout_addr: payout_addr.into_owned(),
        };
        let update = CoinbaseUpdate::new(&sub_pool, coinbase, coinbase_max)?;
        Ok((sub_pool, CoinbaseAction::Update(update)))
    })
    .await
}

fn not_empty(text: &str, error: ApiError) -> Result<(), ApiError> {
    if text.is_empty() { Err(error) } else { Ok(()) }
}

fn check_names(coin: &str, name: &str) -> Result<(), ApiError> {
    not_empty(coin, ApiError::SubPoolCoinEmpty)?;
    not_empty(name, ApiError::SubPoolNameEmpty)
}

/// A name that cannot be a znode's is that of a sub-pool that does not exist.
fn sub_pool(coin: &str, name: &str) -> Result<SubPool, ApiError> {
    let no_sub_pool = || ApiError::Exchange(ExchangeFailure::NoSubPool(name.to_owned()));
    SubPool::parse(coin, name).ok_or_else(no_sub_pool)
}

impl SubPoolApi {
    /// Reads the request, sends the result of `parse` to the jobmaker, and answers.
    async fn answer(
        &self,
        request: &HttpRequest,
        payload: Payload,
        limits: BodyLimits,
        parse: impl FnOnce(&Bytes) -> Result<(SubPool, CoinbaseAction), ApiError> + Send + 'static,
    ) -> Result<HttpResponse, ApiError> {
        let source = source(request);
        let refused = |error: &ApiError| log_refused(&self.log, request, &source, error);
        let jobmakers =
            self.jobmakers.as_ref().ok_or(ApiError::SubPoolsDisabled).inspect_err(refused)?;
        let body = body::read(request, payload, limits).await?;
        let parse = move |body: Bytes| parse(&body);
        let (sub_pool, action) = body::parse(body, parse).await.inspect_err(refused)?;
        let is_update = matches!(action, CoinbaseAction::Update(_));
        let answer = jobmakers.ask(sub_pool, action, source.clone()).await;
        let answer = answer.map_err(ApiError::Exchange)?;
        Ok(jobmaker_answered(&answer, is_update))
    }
}
