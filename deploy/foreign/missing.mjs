// What matrix-js-sdk uses of Node 22 that Node 20 lacks.
Promise.withResolvers ??= function () {
    let resolve, reject;
    const promise = new this((...both) => ([resolve, reject] = both));
    return { promise, resolve, reject };
};
